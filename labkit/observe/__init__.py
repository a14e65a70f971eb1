"""What happens in a cluster, drawn: `labkit packet` follows one request from a client to a pod and back, `labkit dns`
a name from the search list to its record.

ends      the words of the command line: from where, to what                        ends.From, ends.To
question  the same among the cluster's objects: addresses, machine, endpoints       question.Question, or Refused
packet    asks the machines (labkit/probe runs there)                               packet.Evidence
journey   what it means: stations on machines, the way back, what is wrong          journey.Journey   <- the decision
picture   on a terminal; svg: for a handout

lookup        a name: where it is asked, what the resolver did, what it means        lookup.Lookup
name_faults   why a name was not found; name_picture: on a terminal
"""
