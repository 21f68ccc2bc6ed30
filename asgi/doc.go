// Package asgi answers HTTP requests with typed functions and response values.
package asgi
