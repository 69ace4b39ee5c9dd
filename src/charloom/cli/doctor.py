"""``charloom doctor``."""

from charloom_codec.cli import screen


def doctor() -> int:
    """Check the installation, and show what to do about each problem.

    The checks are: versions of the packages, PyTorch's build, the native code (loaded, and compared with the reference
    on this processor), threads, and the cache folder. The exit status is 1 if there is a problem. A warning means that
    charloom works, but is slower or larger than necessary.
    """
    # Imported here: the command line must start quickly.
    from charloom.installation.checks import check_installation

    # All checks are made if the pipe is closed, too: the exit status is a result.
    out, has_problem = screen.log(), False
    for finding in check_installation():
        has_problem |= finding.status == "problem"
        line = f"{finding.status:<9}{finding.subject:<10}{finding.text}" + (
            f"; {finding.remedy}" if finding.remedy else ""
        )
        out.print(screen.printable_name(line))
    return 1 if has_problem else 0
