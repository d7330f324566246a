<?php // php -S 127.0.0.1:3000 receiver.php: verifies, handles each id once, answers 200. Needs PHP only.
$body = file_get_contents('php://input'); // the bytes as they came: sign these, never a re-made JSON text
$secret = getenv('WEBHOOK_SECRET');
if (!$secret) {
    http_response_code(500); // without a secret anybody could sign
    exit('set WEBHOOK_SECRET to your signing secret');
}
$expected = hash_hmac('sha256', $body, $secret);
if (!hash_equals($expected, $_SERVER['HTTP_X_WHATSYNC_SIGNATURE'] ?? '')) {
    http_response_code(401);
    exit;
}
$event = json_decode($body, true);
$folder = sys_get_temp_dir() . '/whatsync-seen'; // in production a table with a unique column
@mkdir($folder);
$mark = @fopen($folder . '/' . hash('sha256', $event['id']), 'x'); // fails where the id was seen before
if ($mark) {
    error_log($event['event'] . ' ' . json_encode($event['data']));
}
http_response_code(200);
echo 'OK';
