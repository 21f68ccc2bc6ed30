// Package middleware x
package middleware
