// Go: verifies each webhook, handles each id once, answers at once and works in a goroutine.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

type Event struct {
	Event, ID string
	Data      json.RawMessage
}

var secret = []byte(os.Getenv("WEBHOOK_SECRET"))
var seen sync.Map // In production a table with a unique column, so that it outlives a restart.

func webhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20)) // The bytes as they came.
	if err != nil {
		http.Error(w, "Unreadable body", http.StatusBadRequest)
		return
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	signature, _ := hex.DecodeString(r.Header.Get("X-WhatsSync-Signature"))
	if !hmac.Equal(signature, mac.Sum(nil)) {
		http.Error(w, "Invalid signature", http.StatusUnauthorized)
		return
	}
	var event Event
	if err := json.Unmarshal(body, &event); err != nil {
		http.Error(w, "Not an event", http.StatusBadRequest)
		return
	}
	if _, known := seen.LoadOrStore(event.ID, true); !known {
		go handle(event)
	}
}

func handle(event Event) {
	log.Println(event.Event, event.ID, string(event.Data))
}

func main() {
	if len(secret) == 0 {
		log.Fatal("Set WEBHOOK_SECRET to the signing secret, whsec_...")
	}
	http.HandleFunc("/webhook", webhook)
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", nil))
}
