"""notify: mail and Web Push, outbound only. It sends what admin and approval command, and what it has to tell people of
their phones.

Theory of operation
-------------------
A command is done when its delivery is kept: one document whose id comes from the command, so that the same command
twice is one delivery. An attempt is then claimed (one conditional update), made, and recorded (another):

    waiting -> sent | failed | gone | expired

`domain/delivery.TRANSITIONS` is the table of all steps; every change of a delivery goes through it.

What the command held sealed (a mail with its address and link, or a push subscription) stays sealed in the document
and is removed when the delivery ends. It is opened to check it on arrival, and for each attempt.

Of a phone that was added or removed it learns from whoever says it first: wsfed (the key counts), admin (it was
refused or revoked), approval. It tells the person once for each key, at the address that admin says and at those that
were replaced lately. Addresses come sealed for notify and are stored sealed by its own key.

Each channel has a `DeliveryLoop` with a bounded number of attempts under way, and a quarter of that for any one
destination, so a slow address, host or domain delays only what goes to itself.

URLs: none but health. Queue `notify`, fed by the table in `consumers.py`.
"""
