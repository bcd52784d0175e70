use strict;
use LWP::UserAgent;
my %options = map { $_ => 1 } @ARGV;
my $answer = LWP::UserAgent->new(timeout => 20, %options)->get("$ENV{BASE}/");
print $answer->status_line, "\n", $answer->decoded_content, "\n";
