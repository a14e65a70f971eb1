"""What happened to one object and what it caused: `labkit story rc/redis-master`.

target    the words of the command line: which object                                  Target
gather    what the machines' journals, the audit log and kube-apiserver know of it     Evidence
lines     a line of a journal, as labkit/trace.py wrote it                             Line
relevant  which of the lines belong to the story: what saw what was written            Chosen
clocks    machines whose clocks differ: effects do not come before their causes        {machine: offset}
hops      lines, and the steps that led to them, in the order of cause and effect      [Hop]
tell      chapters, pods that are told once and then summed up, what is not known      Story     <- the decision
told      what a story is made of; words: a decision in a learner's words
picture   on a terminal; sequence: as an SVG; follow: live
"""
