"""`make bench`: how fast, and beside what. Each ratio measures both of its sides in one run, turn by turn.

    measure.py       medians, percentiles, turns
    machine.py       what it ran on: processor, fsync; CPU seconds and memory of processes
    tokens.py        token_sign_vs_rsa
    http.py          an HTTP client that costs little, so that it does not measure itself
    peer.py          npm wsfed under Express, as a process; its program is in peer/
    bench_system.py  services as processes of their own over RabbitMQ and MongoDB, and accounts by the thousand
    load_client.py   a person: a browser and a phone
    reissue.py       sso_reissue_vs_node_wsfed
    signins.py       signins_per_core_second, approval_to_token_ms, cost_growth
    provisioning.py  people made in the directory: per second, CPU, memory
    counting.py      store operations, messages and HTTP requests
    report.py        var/bench.json and the table

Method and results: docs/performance.md.
"""
