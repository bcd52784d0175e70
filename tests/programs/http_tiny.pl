use strict;
use HTTP::Tiny;
my $answer = HTTP::Tiny->new(timeout => 20, verify_SSL => 1)->get("$ENV{BASE}/");
print "$answer->{status} $answer->{reason}\n$answer->{content}\n";
