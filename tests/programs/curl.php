<?php
$curl = curl_init(getenv("BASE") . "/");
curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 20]);
if (in_array("cainfo", $argv)) {
    curl_setopt($curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
}
$answer = curl_exec($curl);
echo $answer === false ? curl_error($curl) : $answer, "\n";
