import java.net.URI;
import java.util.ArrayList;
import java.util.List;

import org.apache.spark.SparkConf;
import org.apache.spark.scheduler.EventLoggingListener;

import scala.Option;

/** Spark's own writer of event logs once more, for each codec: so that one application is packed by all of them. */
abstract class EachCodec extends EventLoggingListener {
    private static final List<EachCodec> ALL = new ArrayList<>();

    EachCodec(SparkConf conf, String codec) {
        super(conf.get("spark.app.id"), Option.empty(), URI.create(conf.get("spark.eventLog.dir")), packing(conf, codec));
        start();
        ALL.add(this);
    }

    /** To be called when the application is over: lines come after its end, too. */
    static void stopAll() {
        ALL.forEach(EventLoggingListener::stop);
    }

    private static SparkConf packing(SparkConf conf, String codec) {
        return conf.clone().set("spark.eventLog.compress", "true").set("spark.io.compression.codec", codec);
    }

    public static final class Lz4 extends EachCodec {
        public Lz4(SparkConf conf) {
            super(conf, "lz4");
        }
    }

    public static final class Lzf extends EachCodec {
        public Lzf(SparkConf conf) {
            super(conf, "lzf");
        }
    }

    public static final class Snappy extends EachCodec {
        public Snappy(SparkConf conf) {
            super(conf, "snappy");
        }
    }

    public static final class Zstd extends EachCodec {
        public Zstd(SparkConf conf) {
            super(conf, "zstd");
        }
    }
}
