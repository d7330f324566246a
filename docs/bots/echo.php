<?php // php -S 127.0.0.1:3000 echo.php: answers each text message with the same words, through Meta's API.
$body = file_get_contents('php://input');
[$secret, $token] = [getenv('WEBHOOK_SECRET'), getenv('ACCESS_TOKEN')];
if (!$secret || !$token) {
    http_response_code(500);
    exit('set WEBHOOK_SECRET and ACCESS_TOKEN');
}
if (!hash_equals(hash_hmac('sha256', $body, $secret), $_SERVER['HTTP_X_WHATSYNC_SIGNATURE'] ?? '')) {
    http_response_code(401);
    exit;
}
$event = json_decode($body, true);
$folder = sys_get_temp_dir() . '/whatsync-echoed'; // in production a table with a unique column
@mkdir($folder);
$new = @fopen($folder . '/' . hash('sha256', $event['id']), 'x'); // fails where the id was seen before
if ($new && $event['event'] === 'message.incoming' && $event['data']['text'] !== null) {
    $message = ['messaging_product' => 'whatsapp', 'to' => $event['data']['from'], 'type' => 'text',
        'text' => ['body' => $event['data']['text']]];
    $graph = getenv('GRAPH_URL') ?: 'https://graph.facebook.com/v25.0';
    $options = ['method' => 'POST', 'content' => json_encode($message), 'timeout' => 10,
        'header' => "Authorization: Bearer $token\r\nContent-Type: application/json"];
    file_get_contents("$graph/{$_SERVER['HTTP_X_WHATSSYNC_NUMBER']}/messages", false,
        stream_context_create(['http' => $options]));
}
http_response_code(200);
echo 'OK';
