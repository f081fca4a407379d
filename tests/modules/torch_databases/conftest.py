"""The counts of PyTorch's databases, after the results of a run."""


def pytest_terminal_summary(terminalreporter):
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    lines = sorted(value for report in reports for name, value in report.user_properties if name == "database")
    if lines:
        terminalreporter.section("PyTorch's databases")
        for line in lines:
            terminalreporter.line(line)
