# Sinatra: verifies each webhook, handles each id once, answers at once and works in a thread.
require 'json'
require 'openssl'
require 'set'
require 'sinatra'

SECRET = ENV.fetch('WEBHOOK_SECRET')
abort 'Set WEBHOOK_SECRET to the signing secret, whsec_...' if SECRET.empty?
SEEN = Set.new # In production a table with a unique column, so that it outlives a restart.

set environment: :production, bind: '127.0.0.1', port: 3000

post '/webhook' do
  body = request.body.read # The bytes as they came: never sign a re-made JSON text.
  expected = OpenSSL::HMAC.hexdigest('SHA256', SECRET, body)
  signature = request.env['HTTP_X_WHATSSYNC_SIGNATURE'].to_s
  halt 401, 'Invalid signature' unless Rack::Utils.secure_compare(expected, signature)

  event = JSON.parse(body)
  Thread.new { handle(event) } if SEEN.add?(event['id']) # In production a job queue.
  'OK'
end

def handle(event)
  warn "#{event['event']} #{event['id']} #{event['data']}"
end
