"""Every attack of reliability.md 3.2 (bars R5, R6, R7) and the tests that prove the defence; the list itself is tested.

Cross-site WebSocket hijacking: a page of somebody else borrows a cookie
    web/test_handshake.py::test_foreign_origins_are_refused_before_the_upgrade
    web/test_handshake.py::test_a_cookie_counts_only_with_our_origin
    web/test_origin.py::test_foreign_origins
    monitoring/test_admin_namespace.py::test_a_foreign_origin_is_refused_before_the_upgrade
Slow handshakes, a thousand at once; idle TCP
    web/test_slow_handshakes.py::test_a_thousand_half_handshakes_are_cut_and_counted_in_one_line
    web/test_hostile.py::test_half_handshakes_and_silent_connections_are_cut
    web/test_hostile.py::test_a_body_that_never_comes_is_cut
    web/test_gateway.py::test_silence_and_the_dead_are_closed
    web/test_socketio_server.py::test_a_socket_that_joins_nothing_is_closed
Out of files
    web/test_slow_handshakes.py::test_out_of_files_a_process_refuses_aloud_and_disturbs_nobody
    web/test_slow_handshakes.py::test_a_refused_client_that_speaks_first_can_read_why
    web/test_slow_handshakes.py::test_refused_clients_that_stay_are_cut_and_bounded
A reader that stops
    web/test_hostile.py::test_a_reader_that_stops_is_freed
    web/test_socketio_server.py::test_cut_frees_a_peer_that_does_not_read
Ping and pong floods
    web/test_hostile.py::test_a_flood_of_pings_without_reading_is_cut
    web/test_hostile.py::test_floods_end_with_a_close
    web/test_websocket_protocol.py::test_a_ping_flood_without_reading_is_cut
    web/test_attacks_socketio.py::test_a_flood_of_control_frames_is_cut
Empty and one-byte fragments
    web/test_attacks.py::test_a_message_in_single_bytes_is_cut
    web/test_websocket_protocol.py::test_a_message_in_endless_pieces_is_cut
An unfinished message held open
    web/test_gateway.py::test_a_message_that_is_never_finished_is_given_up
    web/test_attacks_socketio.py::test_a_message_that_is_never_finished_is_given_up
An announced size of up to 2^63 bytes; deflate bomb; reserved bits, unmasked frames; invalid UTF-8
    web/test_attacks.py::test_an_announced_size_is_refused_and_not_allocated
    web/test_attacks.py::test_a_deflate_bomb_finds_no_decompressor
    web/test_attacks.py::test_a_flood_behind_a_close_frame_is_not_read
    web/test_gateway.py::test_breaches_of_the_protocol_are_closed_by_code
    web/test_attacks_socketio.py::test_breaches_of_the_protocol_are_closed_by_code
Deep JSON, doubled keys, huge numbers, NaN, lone surrogates
    web/test_attacks.py::test_poisoned_json_reaches_nobody
    hub/test_command.py::test_deep_nesting_is_refused
    web/test_fuzz.py::test_any_bytes_are_dealt_with
    app/test_rest_fuzz.py::test_no_request_is_answered_with_a_fault
Room-name injection
    web/test_attacks.py::test_names_that_are_no_rooms_make_no_room
    web/test_fuzz.py::test_any_key_of_a_family_is_judged
Churn of subscriptions and of connections
    web/test_attacks.py::test_churn_in_and_out_of_a_room_is_slowed_then_closed
    web/test_attacks.py::test_churn_through_room_names_is_bounded
    web/test_hostile.py::test_coming_and_going_leaves_nothing_behind
Socket.IO BINARY_EVENT with attachments
    web/test_socketio_server.py::test_what_is_not_json_socketio_ends_the_socket
Replay of ids and of tokens
    web/test_attacks.py::test_an_id_that_comes_again_is_answered_again
    app/test_rooms_api.py::test_a_token_in_the_query_opens_one_connection
    app/test_rooms_api.py::test_publish_reaches_the_room
Cross-room publish; publish after revoke
    web/test_attacks.py::test_publishing_to_rooms_of_others_reaches_nobody
    web/test_attacks.py::test_what_is_in_flight_when_a_permission_goes_is_refused
    hub/test_revocation.py::test_ten_thousand_interleavings_of_revoke_and_publish
Token swap mid-connection
    web/test_attacks.py::test_a_connection_never_becomes_somebody_else
    app/test_rooms_api.py::test_a_token_in_a_message_authenticates_and_refreshes
Admin channels from a user's session
    web/test_attacks.py::test_the_admin_socket_is_closed_to_users
    monitoring/test_admin_namespace.py::test_others_are_refused_with_an_explanation
Pipelined and ambiguous upgrades
    web/test_attacks.py::test_an_upgrade_behind_a_request_is_not_mixed_with_its_answer
    web/test_attacks.py::test_ambiguous_upgrades_yield_at_most_one_connection
    web/test_hostile.py::test_bytes_after_the_handshake_request_are_not_smuggled
Bytes outside ASCII in Sec-WebSocket-Protocol
    web/test_attacks.py::test_a_subprotocol_that_is_no_token_harms_nobody
RFC 6455 as a whole, both ways
    web/test_autobahn.py::test_every_autobahn_case_passes
    feed/test_autobahn.py::test_every_autobahn_case_passes_but_those_left_to_the_codec
"""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_of_the_list_exists() -> None:
    """A defence whose test was renamed or removed is missed here."""
    named = re.findall(r"^    (\S+\.py)::(\w+)$", __doc__ or "", re.MULTILINE)
    assert len(named) >= 50
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^(async )?def {test}\(", (TESTS / file).read_text(), re.M)
    ]
    assert missing == []
