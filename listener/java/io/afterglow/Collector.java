package io.afterglow;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.Timer;
import java.util.TimerTask;

/** The server's side of sending: one request at a time, none for longer than its limit. */
final class Collector {
  private static final int CONNECT_MILLIS = 2_000;
  private static final int REQUEST_MILLIS = 5_000;
  private static final int CONFLICT = 409;

  private final String url;
  private final String secret;
  private Timer limits = timer();

  Collector(String url, String secret) {
    this.url = url;
    this.secret = secret;
  }

  String url() {
    return url;
  }

  /**
   * Sends the bytes of a journal from {@code offset} on, packed by gzip, and returns where the next ones begin: behind
   * these or, where the collector has more or less of the journal than was thought, somewhere else.
   */
  long put(String journal, long offset, byte[] packed, int length, long withinMillis) throws IOException {
    int limit = (int) Math.max(1, Math.min(REQUEST_MILLIS, withinMillis));
    URL target = new URL(url + "/api/v1/journals/" + journal + "?offset=" + offset);
    HttpURLConnection connection = (HttpURLConnection) target.openConnection();
    connection.setConnectTimeout(Math.min(CONNECT_MILLIS, limit));
    connection.setReadTimeout(limit);
    // Java's own limits are for each read, and there is none for a write to somebody who does not listen.
    TimerTask hangUp = hangUp(connection);
    schedule(hangUp, limit);
    try {
      describe(connection, length);
      try (OutputStream body = connection.getOutputStream()) {
        body.write(packed, 0, length);
      }
      return answer(connection);
    } finally {
      hangUp.cancel();
      limits.purge();
    }
  }

  void close() {
    limits.cancel();
  }

  /** A timer whose thread has died, where no memory was left, takes no more. */
  private void schedule(TimerTask task, int millis) {
    try {
      limits.schedule(task, millis);
    } catch (IllegalStateException e) {
      limits = timer();
      limits.schedule(task, millis);
    }
  }

  private static Timer timer() {
    return new Timer("afterglow-upload-limit", true);
  }

  private void describe(HttpURLConnection connection, int length) throws IOException {
    connection.setRequestMethod("PUT");
    connection.setDoOutput(true);
    connection.setUseCaches(false);
    connection.setInstanceFollowRedirects(false); // the secret is for this address only
    connection.setFixedLengthStreamingMode(length);
    connection.setRequestProperty("Content-Type", "application/x-ndjson");
    connection.setRequestProperty("Content-Encoding", "gzip");
    if (!secret.isEmpty()) {
      connection.setRequestProperty("Authorization", "Bearer " + secret);
    }
  }

  private static long answer(HttpURLConnection connection) throws IOException {
    int status = connection.getResponseCode();
    String position = connection.getHeaderField("Afterglow-Offset");
    drain(status < 400 ? connection.getInputStream() : connection.getErrorStream());
    if ((status == HttpURLConnection.HTTP_OK || status == CONFLICT) && position != null) {
      return number(position);
    }
    throw new IOException("it answered " + status);
  }

  private static long number(String position) throws IOException {
    try {
      return Long.parseLong(position.trim());
    } catch (NumberFormatException e) {
      throw new IOException("it answered with no number");
    }
  }

  /** So that the connection can be used again. */
  private static void drain(InputStream answer) throws IOException {
    if (answer != null) {
      byte[] rest = new byte[1024];
      for (int read = 0; read >= 0 && answer.available() > 0; ) {
        read = answer.read(rest);
      }
      answer.close();
    }
  }

  private static TimerTask hangUp(HttpURLConnection connection) {
    return new TimerTask() {
      @Override
      public void run() {
        try {
          connection.disconnect();
        } catch (Throwable t) {
          // It is gone already.
        }
      }
    };
  }
}
