<?php
$context = stream_context_create(["http" => ["timeout" => 20, "ignore_errors" => true]]);
echo file_get_contents(getenv("BASE") . "/", false, $context);
