"""Every limit of the product, in one place, each with its unit in its name. Nothing else lives here."""

# What comes in
BODY_BYTES_MAX = 100_000
"""Of a body sent to a customer: the public example's ``express.json()`` answers 413 above 100 kB."""
REQUEST_BYTES_MAX = 8 * 1024 * 1024
REQUEST_HEAD_BYTES_MAX = 64 * 1024
REQUEST_HEADERS_MAX = 100
REQUEST_ARRIVAL_SECONDS_MAX = 60
"""From a request's first byte to the end of its head or, on the way that accepts events, of its body."""
UPLOAD_ARRIVAL_SECONDS_MAX = 900
"""The same for every other request's body."""
KEEP_ALIVE_SECONDS = 75
"""How long a client's connection may rest between two requests."""
LINGER_SECONDS = 2.0
"""How long a refused client may go on sending, so that it reads why before the connection ends."""
LINGER_BYTES_MAX = 16 * 1024 * 1024
CLIENT_CONNECTIONS_MAX = 10_000
"""Clients' connections at once; fewer where the process may open few files."""
CLIENT_CONNECTIONS_MIN = 64
METRICS_CONNECTIONS_MAX = 64
CONNECTION_REST_SECONDS_MIN = 1.0
"""A connection that rests less makes no place: its client may just be about to ask."""
CONNECTIONS_LOOKED_AT = 256
CONNECTIONS_RETRY_SECONDS = 1
CONNECTIONS_TOLD_SECONDS = 60.0
PIPELINED_REQUESTS_MAX = 64
"""Requests of one connection that may wait for their commit; beyond, no more is read from it."""
ACCEPTING_BYTES_MAX = 256 * 1024 * 1024
"""Bodies of all requests together whose commit is under way; beyond, requests are refused for a second."""
ARRIVING_BYTES_MAX = 128 * 1024 * 1024
"""Of bodies that have arrived in part only, all connections together; beyond, requests are refused for a second."""
DECODED_AT_ONCE_BYTES_MAX = 64 * 1024
"""A larger body of events is read in steps, with a pause for everybody else after each ``DECODE_TURN_SECONDS``."""
DECODE_TURN_SECONDS = 0.002
KNOWN_HEADS_MAX = 4_096
"""Heads of requests that are recognised without being read again."""
KNOWN_HEAD_BYTES_MAX = 2_048
EVENTS_PER_REQUEST_MAX = 1_000
SOURCE_BODY_BYTES_MAX = 8 * 1024 * 1024
"""Of a source's request, also when unpacked: Meta sends up to 3 MB."""
SOURCE_ESCAPED_BYTES_MAX = 1024 * 1024
"""Of a body whose signature may be over its escaped form: to make that one takes time, before anything is proven."""
WHATSAPP_DATA_BYTES_MAX = 64_000
"""Of what Meta sent, as the data of one ``whatsapp.…`` event; above it, the event says so in its place."""
ENCRYPTION_KEY_CHARS_MIN = 16
"""What the setting has to have at least, so that it can't be found by trying."""
WHATSAPP_DETAILS_BYTES_MIN = 8_000
"""Room that a message's text leaves for its details; a longer text is cut."""
DELIVERIES_PER_REQUEST_MAX = 10_000
JSON_DEPTH_MAX = 64
EVENT_ID_CHARS_MAX = 128
IDEMPOTENCY_KEY_CHARS_MAX = 255
IDEMPOTENCY_DAYS = 8
"""How long an ``Idempotency-Key`` and, at least, an event id are remembered: Meta repeats for seven days."""

ENCRYPTION_KEY_DIFFERENT_CHARS = 8
"""With fewer different characters the doctor warns of it."""

# Media
MEDIA_BYTES_MAX = 128 * 1024 * 1024
"""Of one file: WhatsApp itself lets 100 MB through."""
MEDIA_FETCHES_MAX = 16
"""Files fetched or removed at a time: their bytes never crowd out messages. One account gets half of them."""
MEDIA_DUE_LOOKED_AT = 64
"""Where no more files are due, all of them are looked at to decide whose turn it is; else accounts are gone through."""
MEDIA_ACCOUNTS_LOOKED_AT = 256
"""Accounts gone through in one transaction."""
MEDIA_FETCH_SECONDS = 600.0
"""For one try."""
MEDIA_CLAIM_SECONDS = 1_800
"""After so long a server that has claimed a file counts as gone; longer than a try and keeping it take."""
MEDIA_RETRY_SECONDS = (10.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 10_800.0)
"""Waits between tries, the last one again and again until ``MEDIA_KEPT_SECONDS``."""
MEDIA_KEPT_SECONDS = 7 * 86_400
"""How long WhatsApp keeps a file that a webhook told of."""
MEDIA_IDLE_SECONDS = 30.0
"""How often is looked for files that are due where nobody said that there are any."""
MEDIA_WAIT_SECONDS = 20.0
"""How long a request for a file waits for its bytes."""
MEDIA_LOOK_SECONDS = 2.0
"""How often it looks whether another server has brought them."""
MEDIA_WAITERS_MAX = 1_000
MEDIA_ANSWER_SECONDS_MAX = 3_600
"""How long a client may take to read a file."""
MEDIA_SWEEP_SECONDS = 6 * 3_600
"""How often is looked for files without a row."""
MEDIA_ORPHAN_SECONDS = 7_200
"""Younger files may still get their row."""
UPLOAD_FIELD_BYTES_MAX = 512 * 1024
"""Of all fields beside the file."""
UPLOAD_PARTS_MAX = 16
"""Of one form, the file among them."""
MEDIA_UNFINISHED_SECONDS = 7_200
"""An upload or download nobody has written to for so long was left behind by a crash."""
WEB_CLIENT_CONNECTIONS_MAX = 64
"""To other people's APIs and files, all together."""
WEB_CLIENT_IDLE_SECONDS = 5.0
"""How long its connections are kept: servers close them, and a request that meets such a one is lost."""
WEB_CLIENT_SILENCE_SECONDS = 30.0
"""Between two pieces of an answer."""
MEDIA_ENDED_DAYS = 30
"""How long a URL goes on saying why its file failed or was removed."""

# Sources
SOURCES_MAX = 1_000
NUMBERS_MAX = 100_000
FORMER_ACCOUNTS_MAX = 16
"""Earlier accounts of a number that are remembered, the last ones."""
SOURCE_SECRET_CHARS_MAX = 256
ACCESS_TOKEN_CHARS_MAX = 1_024
PREVIOUS_SECRET_DAYS = 7
"""How long the app secret before stays good: Meta repeats for as long."""
PEOPLE_KEPT = 50_000
"""People whose names are remembered in memory, so that who writes again costs no question."""
SEEN_AGAIN_SECONDS = 60
"""When a person was last seen is written down again after so long, or when something about him changes."""
INTAKE_TRIES_MAX = 20
"""Times that one body is worked out anew because configuration or people changed meanwhile."""
ARRIVAL_SLOT_SECONDS = 900
"""Counts of what sources bring are kept by quarters of an hour."""
ARRIVAL_FLUSH_SECONDS = 5.0
REJECTED_TO_TELL = 3
"""Requests refused in a row after which a source's owners are told."""
QUIET_LOOK_SECONDS = 900.0
QUIET_SECONDS_MIN = 3_600
QUIET_EVENTS_MIN = 20
"""A number is quiet when it brought nothing for as long, in a time that usually brings so many updates or more."""
QUIET_WEEKS = 4
BODIES_PREVIEWED_MAX = 1_000
"""Requests of a source that are counted before a time of it is processed again."""
BODIES_AGAIN_PER_STEP = 20
"""Raw bodies processed again between two pauses."""

# Many nodes over one database
LEASE_SECONDS = 45.0
"""How long a node's claims are its own after it was last heard of: the longest request, and time to come back."""
LEASE_MARGIN_SECONDS = 3.0
"""A request must be able to end this much before its node's lease: for closing, and for clocks of unequal speed."""
HEARTBEAT_SECONDS = 3.0
LOOK_SECONDS = 15.0
"""Between two looks at all endpoints with open deliveries, should a signal have been lost."""
SIGNAL_PAUSE_SECONDS = 0.05
"""Between two signals of one node: at most 20 a second."""
SIGNAL_ENDPOINTS_MAX = 400
"""In one signal; beyond, it says that everything should be looked at."""
REMOVED_DOCUMENTS_KEPT = 10_000
"""Documents removed lately that a node remembers, so that news read before can't bring them back."""
REFRESHES_PER_SECOND = 10
"""Looks for something that a request named and this node does not know."""
FEED_LOOK_SECONDS = 1.0
"""Between two looks of a feed's waiting reader for events that other nodes have accepted."""
CLOCKS_APART_SECONDS_MAX = 60.0
"""Between a node's clock and the database's before an operator is told."""

# What goes out
ANSWER_BODY_BYTES_KEPT = 16 * 1024
ANSWER_HEADER_BYTES_MAX = 32 * 1024
CONNECT_TIMEOUT_SECONDS = 5.0
REQUEST_TIMEOUT_SECONDS = 15.0
REQUEST_TIMEOUT_SECONDS_MIN = 1.0
REQUEST_TIMEOUT_SECONDS_MAX = 30.0
RETRIES_MAX = 50
RETRY_WAIT_SECONDS_MAX = 7 * 86_400
RETRY_AFTER_SECONDS_MAX = 86_400

# The sender's connections
CONNECTION_IDLE_SECONDS = 30.0
CONNECTIONS_IDLE_PER_ORIGIN = 256
CONNECTIONS_IDLE_MAX = 10_000
CONNECTIONS_IDLE_ENCRYPTED_MAX = 2_000
"""Over TLS: each of these holds about 40 KiB of memory, ten times a plain one."""
ANSWER_BODY_SECONDS = 1.0
"""How long an answer's body may take after its headers; the status is known by then."""
ANSWER_DRAIN_BYTES_MAX = 64 * 1024
"""Read beyond what is kept, to keep the connection; a longer answer costs it."""
SOCKET_WAIT_SECONDS = 1.0
SLOW_ANSWER_SECONDS = 2.0
"""An origin that takes longer counts as slow; the slow ones share at most half of all sockets."""
QUICK_ANSWERS_TO_TRUST = 3
"""Quick answers in a row after which a slow origin counts as quick again."""
ADDRESS_STAGGER_SECONDS = 0.25
"""Head start of each address of a name before the next one is tried beside it."""
CONNECTIONS_BEGUN_PER_TURN = 8
"""In one turn of the event loop; beginning one takes about 0.15 ms."""
HANDSHAKE_TURN_SECONDS = 0.001
"""TLS handshakes may take this much of one turn of the event loop; those left wait for the next."""
TLS_SESSIONS_MAX = 5_000
TLS_SESSION_RENEW_SECONDS = 120.0
ORIGINS_MAX = 50_000
"""Scheme, host and port triples remembered while no connection is open to them."""
DNS_TIMEOUT_SECONDS = 5.0
DNS_TTL_SECONDS_MIN = 5.0
DNS_TTL_SECONDS_MAX = 300.0
DNS_FAILURE_SECONDS = 5.0
"""How long a failed lookup is believed."""
DNS_NAMES_MAX = 20_000

# Endpoints
IN_FLIGHT_DEFAULT = 20
IN_FLIGHT_MAX = 500
RATE_PER_SECOND_MAX = 10_000.0
FAILURES_IN_A_ROW_TO_SLOW = 5
"""An endpoint whose last this many attempts failed gets one request at a time until a success."""
FAILING_ATTEMPT_SECONDS = 0.05
"""Between two attempts at such an endpoint: one that refuses at once must not fill the server with its backlog."""
ORDERING_MAX_WAIT_SECONDS = 600
ORDERING_MAX_WAIT_SECONDS_MAX = 86_400
FAILURES_IN_A_ROW_TO_RECOVER = 3
"""From this many on, a success means that the endpoint was down and is back: its waiting retries come forward."""
URL_CHARS_MAX = 2_048
DESCRIPTION_CHARS_MAX = 500
EVENTS_PER_ENDPOINT_MAX = 100
NUMBERS_PER_ENDPOINT_MAX = 500
FILTER_VALUES_MAX = 100
HEADERS_PER_ENDPOINT_MAX = 20
HEADER_NAME_CHARS_MAX = 64
HEADER_VALUE_CHARS_MAX = 1_024

# Health of an endpoint
FAILING_ATTEMPTS_MIN = 3
FAILING_SECONDS_MIN = 300
DISABLE_AFTER_SECONDS = 5 * 86_400
DISABLE_ATTEMPTS_MIN = 20
DISABLE_DELIVERIES_MIN = 3
DISABLE_RECENT_SECONDS = 86_400
DISABLE_NOTICE_SECONDS = 86_400

# Per account, defaults an operator can change
ACCOUNT_EVENTS_PER_SECOND = 50_000
ACCOUNT_OPEN_DELIVERIES = 5_000_000
ACCOUNT_BYTES_PER_SECOND = 64 * 1024 * 1024
ACCOUNT_ENDPOINTS = 10_000
ACCOUNT_EVENT_TYPES = 1_000
ACCOUNT_KEYS = 1_000

# Memory
ROUTES_KEPT = 10_000
"""Pairs of event type and number whose endpoints an account remembers."""
LANE_DELIVERIES_MAX = 1_000
"""Deliveries one endpoint may have in memory; what comes beyond waits in the store."""
LANE_DELIVERIES_FAILING = 20
"""The same for an endpoint whose last attempts all failed."""
LANES_BYTES_MAX = 64 * 1024 * 1024
"""Bodies all lanes together may hold in memory."""
LANES_DELIVERIES_MAX = 20_000
CLOCK_BACK_SECONDS = 10.0
"""A wall clock that goes back by more than this had run ahead: what it had planned is planned anew."""
REPLAN_DELIVERIES_MAX = 500
"""Looked at in one transaction when that happens."""
REPLAN_FILES_MAX = 500
"""The same for media files."""
REPLAN_PAUSE_SECONDS = 1.0
"""Before the next try where the store takes no writes."""
CLAIM_DELIVERIES_MAX = 100
"""Deliveries an endpoint takes from the store at a time."""
OUTCOMES_UNRECORDED_MAX = 5_000
"""Finished attempts waiting for their commit; above it no new attempt starts."""

# Reading
PAGE_ITEMS_DEFAULT = 50
PAGE_ITEMS_MAX = 200
PAGE_ROWS_EXAMINED_MAX = 5_000
"""Rows one page of a list may look at; the answer says how far it searched."""
PAGE_BODIES_EXAMINED_MAX = 2_000
"""The same where it looks for words in the events' bodies."""
COUNT_CEILING = 10_000
"""Deliveries of one endpoint that are counted; beyond it the answer is "at least this many"."""
FEED_WAIT_SECONDS_MAX = 30
FEED_PAGES_EXAMINED_MAX = 4
"""Pages of the feed that one call passes over because all in them is of other types; then it answers without items."""
EXPORT_PAGE_ITEMS = 500
SEARCH_CHARS_MAX = 512
SEARCH_FORMS_PER_WORD_MAX = 12
SEARCH_FORMS_MAX = 64
"""Ways to write a word of a search (letters beyond ASCII in either case) that are looked for; in all its words."""
SEARCH_EVENTS_MAX = 1_000
"""Events that one exact identifier may lead to, newest first; older ones are found by narrowing the time."""
MESSAGE_EVENTS_MAX = 200
"""Statuses and media of one message that its story tells."""
MESSAGE_ITEMS_MAX = 50
MESSAGE_ENDPOINTS_MAX = 200
"""Endpoints without a delivery that a message's story lists with the reason."""

# Bulk work
JOB_STEP_ITEMS = 200
"""Deliveries or events that one step, which is one transaction, looks at."""
JOB_PREVIEW_SECONDS_MAX = 5.0
JOB_PREVIEW_PART_SECONDS = 0.5
"""A page shows what it has found by then, and looks on while it is shown."""
JOB_PREVIEW_ITEMS_MAX = 10_000
"""Deliveries or events that a dry run looks at before it says that there is more."""
JOB_PAUSE_SECONDS = 0.02
"""Between two steps: bulk work stands back behind what arrives now."""
JOB_PAUSE_SECONDS_MAX = 60.0
"""The longest pause of a job whose steps fail for no known reason; each pause is twice the one before."""
JOB_STEP_FAILURES_MAX = 5
"""So many times in a row a step fails for no known reason before the job ends as failed."""
ACCOUNT_JOBS_RUNNING = 20

# Keeping
RETENTION_DAYS = 30
RETENTION_DAYS_MAX = 3_650
SECRET_OVERLAP_SECONDS = 86_400
SECRET_OVERLAP_SECONDS_MAX = 30 * 86_400
PRUNE_STEP_EVENTS = 500
PRUNE_PAUSE_SECONDS = 0.05
PRUNE_EVERY_SECONDS = 3_600
HELD_NOTICE_SECONDS = 86_400
"""Held deliveries are removed by retention no sooner than this after it was announced."""
FREE_DISK_BYTES_MIN = 512 * 1024 * 1024

# Event data
JSON_INTEGER_MAX = 2**53 - 1
"""The largest integer that JavaScript, and so the public example, hands on unchanged."""
EVENT_TYPE_CHARS_MAX = 100
CONTACT_KEY_CHARS_MAX = 256
ADDRESS_CHARS_MAX = 256
"""Of a phone number or the id WhatsApp gives a person in its place."""
FILTER_VALUE_SHOWN_CHARS = 60
"""Of a refused value of a filter, in the sentence that refuses it."""
REFERENCE_CHARS_MAX = 512
"""Of an id inside event data: a message, contact, button, wamid."""
TEXT_CHARS_MAX = 65_536
"""Of a message's text or caption; the limit in bytes of the whole body stands beside it."""
NAME_CHARS_MAX = 1_024
WORD_CHARS_MAX = 255
"""Of a short word such as a status, a media type or a MIME type."""
MEDIA_URL_CHARS_MAX = 8_192
TIME_CHARS_MAX = 64
FIELD_ERRORS_MAX = 50
"""Mistakes named in one answer."""

# Signatures
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
SIGNATURE_AGE_SECONDS_MAX = 300
"""How far ``webhook-timestamp`` may lie from the receiver's clock; the official libraries use the same."""

# Alerts
ALERTS_WAITING_MAX = 10_000
ALERT_LINES_MAX = 20
"""Changes of state told in one mail or chat line; above it only their number is."""
ALERT_GATHER_SECONDS = 2.0
"""Changes of state that come together are told in one message."""
ALERT_TRIES_MAX = 4
ALERT_RETRY_SECONDS = 5.0
TROUBLE_LOOK_SECONDS = 15.0
LOOP_LAG_LOOK_SECONDS = 0.05
"""Between two looks at how late the event loop is: rare enough that an idle server stays idle."""
GARBAGE_OBJECTS = 500
"""New objects one brief look for garbage goes through: a millisecond, in which all stands still."""
GARBAGE_LOOK_SECONDS = 60.0
"""Between two moments in which a thorough look for garbage may be worth it."""
GARBAGE_BRIEF_LOOKS_MIN = 100
"""A thorough look is worth it after so many brief ones."""
GARBAGE_SECONDS_MAX = 86_400
"""A server that never rests looks thoroughly after so long nevertheless: a large one stands still for a tenth of a
second.
"""
OLDEST_DUE_SECONDS_MAX = 300
"""A healthy endpoint whose next delivery waits longer than this is an operator's business."""

# Telling operators
LOG_LINES_PER_SECOND = 500
"""Lines about accepted events and successful attempts; beyond, they are left out and counted. Failures always show."""

# Coming round
HEALTH_LOOK_SECONDS = 60.0
OPEN_COUNT_SECONDS = 30.0
OPEN_COUNT_PAUSE_SECONDS = 0.02
SUCCESS_DAYS = 7
"""An endpoint that succeeded within as long, and has not failed since, is well."""
SUCCESS_LOOK_SECONDS = 300.0
SUCCESS_LOOK_ENDPOINTS = 50
"""About how many the rollups are asked at a time."""
WAITING_COUNTED_MS_MIN = 5_000
"""What has waited for less is on its way: no look at it is counted."""
"""Between the counts of two endpoints, so that counting never fills a reader."""
CONNECTION_LOOK_SECONDS = 5.0
ANSWER_DRAIN_SECONDS = 10
"""How long a stopping server waits for its own answers to be read."""
TELLING_DRAIN_SECONDS = 5.0
"""How long it waits for notices and alerts on their way."""
DRAIN_SECONDS = 20.0
"""How long a stopping server waits for requests under way."""
COMMAND_ARGUMENT_BYTES_MAX = 128 * 1024 - 1
"""The longest argument that Linux hands to a program (``MAX_ARG_STRLEN``, without the zero byte at its end)."""

# People
EMAIL_CHARS_MAX = 254
PASSWORD_CHARS_MIN = 10
PASSWORD_CHARS_MAX = 256
PASSWORD_DIFFERENT_CHARS_MIN = 5
SESSION_IDLE_SECONDS = 7 * 86_400
"""A session that shows itself no more ends after this."""
SESSION_SECONDS_MAX = 30 * 86_400
EMBEDDED_SESSION_SECONDS = 8 * 3_600
SESSION_SEEN_SECONDS = 600
"""How old a session's last sign of life may be before it is written down anew."""
USER_SESSIONS_MAX = 50
"""Of one person; the oldest ends when one more begins."""
LINK_SECONDS = 86_400
INVITE_LINK_SECONDS = 7 * 86_400
EMBED_PATH_CHARS_MAX = 2_000
"""Of where a link for another product opens, with its filters."""
EMBED_LINK_SECONDS = 120
"""Another product makes it and sends its user there at once."""
SESSION_CLEAR_SECONDS = 3_600.0
SIGN_IN_FAILURES_PER_EMAIL = 10
SIGN_IN_FAILURES_PER_ADDRESS = 30
FORGOTTEN_MAILS_PER_EMAIL = 3
FORGOTTEN_MAILS_PER_ADDRESS = 10
SIGN_IN_FAILURE_SECONDS = 900
"""Failed sign-ins are counted over this long."""
SIGN_IN_REMEMBERED_MAX = 20_000
"""Addresses and mail addresses with failures that are remembered."""
PASSWORDS_WAITING_MAX = 20
"""Passwords that may wait to be hashed; each takes about 50 ms of one core and 32 MiB."""

# Pages
FORM_BYTES_MAX = 512 * 1024
FORM_FIELDS_MAX = 5_000
PAGE_BYTES_GZIP_MIN = 1_024
"""Shorter pages are sent as they are."""
URL_LOOKUP_SECONDS_MAX = 2.0
"""For the name of a URL that is being typed."""
EVENT_BEGINNING_BYTES = 2_048
"""Of an event's body and details, for a row of a list: enough for whom it is about and the words that are shown."""
RESEND_BUTTONS_SHOWN = 10
"""Of one message, each for an endpoint that did not get it; one for all of them stands before."""
TYPE_ENDPOINTS_SHOWN = 4
"""Endpoints named beside each event type; the rest is a link."""
ENDPOINTS_SHOWN = 25
"""On one page of the list."""
ROTATION_ENDPOINTS_SHOWN = 10
"""Whose answers since a rotation are shown on one page."""
RECENT_DELIVERIES_SHOWN = 8
BLOCKED_CONTACTS_SHOWN = 10
NUMBERS_PICKED_SHOWN = 300
FIGURES_STEPS = 48
"""Columns of an endpoint's chart."""
OVERDUE_SHOWN_MS = 5_000
"""A delivery that has been due for less is on its way, as far as the overview is concerned."""
