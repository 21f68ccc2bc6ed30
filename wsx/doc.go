// Package wsx serves RPC over WebSockets.
package wsx
