"""notify: mail and Web Push, outbound only. It decides nothing; it carries what admin and approval ask it to carry.

Theory of operation
-------------------
A command is done when its delivery is kept: one document, whose id is the command's own, so that the same
command twice is one delivery. An attempt is then claimed (one conditional update), made, and recorded (another):

    waiting -> sent | failed | gone | expired           (`domain/delivery.py` has the table)

What the command held sealed (letter with its address and link; push subscription) stays sealed in the document
and is removed when the delivery ends. It is opened only to check it on arrival and for each attempt.

Each channel has a dispatcher with a bounded number of attempts under way, and a quarter of that for any one
destination: what one address, host or domain does costs nobody else more than those slots.

URLs: none but health. Queue `notify`: SendMail from admin, SendPush from approval. Sends SubscriptionGone.
"""
