"""toy: a service made by docs/adding-a-service.md, for test_adding_a_service.py alone. It tosses coins.

It stands here and not in `services/`, and its row and messages are registered only while its test runs.

| URL on the kiosk host | what it is |
|---|---|
| GET / | the coins that were tossed |

Queue `toy`: TossCoin from admin. Sends CoinTossed.
"""
