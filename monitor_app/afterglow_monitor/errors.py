"""Everything that the server and the command line raise on purpose.

MonitorError
├── BadSettings          a settings file that cannot be read, or says something that it cannot mean
├── BadTrackingDatabase  a database of MLflow that cannot be read: away, not MLflow's, or of a version not known here
├── CannotWrite          what MLflow would not take, or what Afterglow would not write
│   ├── CannotLink       a run that has a link, or an application that MLflow or the store would not take for it
│   └── CannotSettle     a run that is not orphaned
├── CannotTell           an alert that the place it is for did not take
└── DemoFailed           a step of the demo did not work
"""


class MonitorError(Exception):
    """The root. The command line shows its message and exits with 1."""


class BadSettings(MonitorError):
    pass


class BadTrackingDatabase(MonitorError):
    pass


class CannotWrite(MonitorError):
    pass


class CannotSettle(CannotWrite):
    pass


class CannotLink(CannotWrite):
    pass


class DemoFailed(MonitorError):
    pass


class CannotTell(MonitorError):
    pass
