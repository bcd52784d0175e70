<?php
// Answers with the path that each of PHP's ways makes of the request.
$target = $_SERVER["REQUEST_URI"];
$parsed = parse_url($target, PHP_URL_PATH);
header("Content-Type: application/json");
echo json_encode([
    // It serves nothing for a target that it cannot parse.
    "parse_url" => is_string($parsed) ? rawurldecode($parsed) : null,
    "PHP_SELF" => $_SERVER["PHP_SELF"],
], JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES);
