"""One function for each use case of wsfed: the index from a step of docs/flows/ to its function.

| flow | step | function |
|---|---|---|
| sign-in | 1 | `signing_in.begin`, or `sessions.answer_from_session` when the browser's session is enough |
| | 2 | `signing_in.open_page`, `name_account`, `sign_in_options`; `common.load_for_browser` on every later request |
| | several tabs | `signing_in.leave_to_other_tab` |
| | 3, 4 | `signing_in.open_challenge`; nobody was notified: `phone_responses.challenge_unnotified` |
| | 5, 7 | `phone_responses.challenge_claimed`, `challenge_ended` |
| | 8 | `phone_responses.challenge_accepted`; it decides by `domain.proof.verify_approval` |
| | 9 | none: the route reads the transaction again (`routes/live.py`) |
| | 10, 11 | `token_issuance.require_proved`, `token_issuance.take_token` |
| sign-out | | `sessions.sign_out` |
| passkey | 1 | `passkeys.ask_passkey` |
| | 5, 6 | `passkeys.use_passkey`; it decides by `domain.proof.verify_passkey` |
| | 7 | as sign-in 10 and 11 |
| notification | 13 | `added_devices.added_since`, `added_besides` |
| sign out everywhere | 3 | `common.known_session`, `sessions.answer_from_session` |
| | 4 | `token_issuance.take_token`, `passkeys.use_passkey` |
| | 5, 7 | `browsers.keep_browser`, `browsers.remove_browser` |
| own page | 1, 4, 5, 7 | `own_page.begin_visit`, `look`, `ask` |
| try it | 1, 3, 5 | `trial.begin_trial`, `finish_trial`, `trial_result`; it reads the token by `domain.trial.examine` |
| sign-in figures | 1 | `phone_responses.challenge_ended`, `token_issuance.take_token`, ... |
| | 2 to 4 | `sign_in_figures.count_sign_ins` |
| key roll-over | 1, 2, 3 | `key_rollover.next_key`, `switch_key`, `promote_key`; `show_keys`, `emergency_keys` |
| enrolment | 2, 7 | `projections.invitation_changed`, `device_changed`; it decides by `domain.trust.trust_device` |
"""
