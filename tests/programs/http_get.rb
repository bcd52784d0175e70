require "net/http"
answer = Net::HTTP.get_response(URI(ENV["BASE"] + "/"))
puts answer.code, answer.body
