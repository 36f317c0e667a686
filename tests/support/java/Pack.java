import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.io.CompressionCodec;

/** Packs a file with each of Spark's codecs, by the streams that its event logs go through: `Pack IN FOLDER`. */
public final class Pack {
    private static final String[] CODECS = {"zstd", "lz4", "snappy", "lzf"};

    public static void main(String[] arguments) throws Exception {
        byte[] plain = Files.readAllBytes(Path.of(arguments[0]));
        for (String name : CODECS) {
            CompressionCodec codec = CompressionCodec.createCodec(new SparkConf(false), name);
            pack(codec, plain, Path.of(arguments[1], "log." + name));
        }
    }

    /** In the pieces in which a log is written: some lines, then a flush. */
    private static void pack(CompressionCodec codec, byte[] plain, Path path) throws Exception {
        try (OutputStream out = codec.compressedContinuousOutputStream(Files.newOutputStream(path))) {
            for (int start = 0; start < plain.length; start += 100_000) {
                out.write(plain, start, Math.min(100_000, plain.length - start));
                out.flush();
            }
        }
    }
}
