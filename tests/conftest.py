pytest_plugins = [
    "tests.support.browser",
    "tests.support.databases",
    "tests.support.demo",
    "tests.support.environment",
    "tests.support.tracking",
]
