module github.com/genropy/genro-asgi-go

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/go-chi/chi/v5 v5.5.0
	github.com/go-json-experiment/json v1.27.2
	github.com/netresearch/go-cron v0.9.1
	github.com/rs/cors v1.11.1
	golang.org/x/sys v0.49.0
	pgregory.net/rapid v1.3.0
)
