package io.afterglow;

/** A setting that cannot be used; the message names the key and its value and says what would do. */
final class BadSetting extends Exception {
  private static final long serialVersionUID = 1L;

  BadSetting(String key, String value, String wanted) {
    super(key + "=" + value + " is not " + wanted);
  }
}
