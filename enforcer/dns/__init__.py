"""The DNS plane: the question is judged, then every name and address of the answer.

``packets``      bytes to values and back: queries, answers, records, options
``cache``        answers that may be given again, negative and stale ones too
``uncached``     those that are given once
``special_use``  names that are answered here and never leak
``delegation``   which name servers a name has, and what must be asked to know
``filters``      what an upstream's answer may say
``zone_search``  who serves the names of one chain
``judge``        what the policy says of an answer, and what must be known for that
``rewrite``      answers that lead somewhere else, as the policy wants
``quick``        the same question again: the same answer
``ask``          queries on their way
``responder``    the order of the steps for one query; sans-I/O
``resolve``      a name's addresses for the gate, under the same policy
``upstream``     whom the gateway asks
``serving``      who asks the gateway: sockets, and who may
``transfers``    policy zones from their primaries
"""
