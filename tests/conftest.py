pytest_plugins = [
    "tests.support.browser",
    "tests.support.databases",
    "tests.support.environment",
    "tests.support.tracking",
]
