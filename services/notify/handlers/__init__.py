"""What notify does, one function for each use case (docs/flows/notification.md).

    step    function                 module
    4       accept_push              commands.py
    5, 7    attempt                  attempts.py
    9       accept_mail              commands.py
    10      attempt                  attempts.py
    11      authenticator_accepted   notices.py
    11, 12  authenticator_changed, device_changed   notices.py

`../projections.py` keeps what admin says of addresses and tenants.

`DeliveryLoop` (delivery_loop.py) calls `attempt` for what is due, on each channel for a bounded number of deliveries
at a time. `sealed.py` opens what was sealed for notify.
"""
