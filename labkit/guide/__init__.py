"""The guide: plays labs and walkthroughs, which are Markdown files, on the machines of a cluster.

    labs/04-redis-master/lab.md --parse--> Lab --engine--> what comes next --screen--> the learner
                                                  |                            |
                                             progress.json              stage (ssh to the machines)

format    what a lab consists of                   parse    Markdown -> Lab, or LabError with file, line, expectation
engine    pure: where the learner is, what is next  places   `on=pod/client` -> machine and the command typed there
stage     the seam to a cluster; machines: over SSH  screen   shows and asks (rich; plain without a terminal)
acts      commands and checks, done on a stage       tutor    leads a learner through a page
progress  progress.json                             proof    `--play`: each check fails before its step, passes after
play      what the command line calls               record   refreshes recorded outputs, shown code
"""
