"""A strict stand-in for Microsoft's login and Graph, as provisioning and federation meet them. For tests, never for
people's data.

What it is asked, and what it answers, is in the README beside this file. Inside, everything but `app` is free of I/O:

    app        sockets: aiohttp to `Request`, `Answer` to aiohttp; the control API
    standin    one request's way: token, path, permission, throttling, faults, method
    graph      the methods of Graph, one function each, with their index
    users, licences, domains, delta, odata, batch, tokens, throttle, faults     the rules
    schema, permissions     Microsoft's facts, read from the JSON files that `facts` draws
    tenant, model, views    what is kept, and how it is shown
    requests, control       the record of every request; setting up, misbehaviour, the clock

It shares no code with the services, so that one misunderstanding cannot hide on both sides.
"""
