"""provisioning: makes people's users in Entra ID through Microsoft Graph, and keeps them true. Outbound only.

Theory of operation
-------------------
A tenant's connection says how to sign in to its directory; without one nothing is done for the tenant. Of each account
whose user is to be made or changed there is a job, one document:

    waiting -> working -> done | failed

`domain/person.TRANSITIONS` is the table of all moves. Whoever claims a job (one conditional update, with a lease) takes
its steps in the order of `domain/steps.STEPS`; each that changes the directory is followed by one update of the job.

Graph knows no idempotency key, and its answers get lost, come late or are of yesterday. So a job never goes by what it
has sent, but by what the directory has: the user is looked up by its object id, by ImmutableID, among the deleted ones,
and after a conflict by its name (`handlers/looking_up.py`). `domain/answers.RULES` says what each answer means.

What cannot succeed stops with Microsoft's words, our explanation and "Try again". What concerns everybody, a wrong
secret for one, pauses the connection instead of failing each job.

`handlers/worker.Worker` has as many jobs of a tenant under way as Microsoft's answers allow; their requests travel
together in `$batch` (`gateways/graph.py`).

URLs: none but health. Queue `provisioning`, fed by the table in `consumers.py`.
"""
