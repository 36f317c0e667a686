package io.afterglow;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** The plans that a journal has already: most queries of a job are asked again and again, and told once is enough. */
final class Plans {
  private static final int MAX_CHARS = 4_000;
  private static final int MAX_REMEMBERED = 1_000;

  private final Redaction redaction;
  private final Set<String> told =
      Collections.newSetFromMap(
          new LinkedHashMap<String, Boolean>() {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
              return size() > MAX_REMEMBERED;
            }
          });

  Plans(Redaction redaction) {
    this.redaction = redaction;
  }

  /** Adds the plan's hash and, where the journal has no such plan yet, its text. */
  void put(Plan plan, JsonFields fields) {
    String hash = plan.hash();
    fields.put("Plan Hash", hash);
    if (told.add(hash)) {
      fields.put("physicalPlanDescription", redaction.text(plan.tree(), MAX_CHARS));
    }
  }

  /** Lines were lost that may have told some of them. */
  void forget() {
    told.clear();
  }
}
