package io.afterglow;

import scala.PartialFunction;

/** Values of Scala's collections, whose classes have other names in Scala 2.12 than in 2.13: one jar names none. */
final class Scala {
  private Scala() {}

  /** A sequence is a function of the index in all versions, a map one of the key. */
  @SuppressWarnings("unchecked")
  static <T> PartialFunction<Object, T> function(Object sequenceOrMap) {
    return (PartialFunction<Object, T>) sequenceOrMap;
  }

  /** What a method without arguments returns, whose own name would name such a class. */
  static Object get(Object of, String method) throws ReflectiveOperationException {
    return of.getClass().getMethod(method).invoke(of);
  }

  /** All that is in a collection, as text. */
  static String joined(Object collection, String separator) throws ReflectiveOperationException {
    return (String) collection.getClass().getMethod("mkString", String.class).invoke(collection, separator);
  }
}
