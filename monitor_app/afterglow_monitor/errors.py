"""Everything that the server and the command line raise on purpose.

MonitorError
├── BadSettings          a settings file that cannot be read, or says something that it cannot mean
├── BadTrackingDatabase  a database of MLflow that cannot be read: away, not MLflow's, or of a version not known here
├── CannotSettle         a run that is not orphaned, or that MLflow would not change
└── DemoFailed           a step of the demo did not work
"""


class MonitorError(Exception):
    """The root. The command line shows its message and exits with 1."""


class BadSettings(MonitorError):
    pass


class BadTrackingDatabase(MonitorError):
    pass


class CannotSettle(MonitorError):
    pass


class DemoFailed(MonitorError):
    pass
