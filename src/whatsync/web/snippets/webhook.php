<?php // PHP: verifies each webhook, handles each id once, answers at once and works afterwards.
$secret = getenv('WEBHOOK_SECRET');
if (!$secret) {
    http_response_code(500);
    exit('Set WEBHOOK_SECRET to the signing secret, whsec_...');
}
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || strtok($_SERVER['REQUEST_URI'], '?') !== '/webhook') {
    http_response_code(404);
    exit;
}
$body = file_get_contents('php://input'); // The bytes as they came: never sign a re-made JSON text.
$expected = hash_hmac('sha256', $body, $secret);
if (!hash_equals($expected, $_SERVER['HTTP_X_WHATSSYNC_SIGNATURE'] ?? '')) {
    http_response_code(401);
    exit('Invalid signature');
}
$event = json_decode($body, true);
echo 'OK';
if (function_exists('fastcgi_finish_request')) {
    fastcgi_finish_request(); // Under PHP-FPM the answer leaves now.
}
$folder = sys_get_temp_dir() . '/whatsync-seen'; // In production a table with a unique column.
@mkdir($folder);
if (@fopen($folder . '/' . hash('sha256', $event['id']), 'x')) { // Fails where the id was seen before.
    handle($event);
}

function handle(array $event): void
{
    error_log($event['event'] . ' ' . $event['id'] . ' ' . json_encode($event['data']));
}
