// Command empty is an empty Go program: the floor of starting a process.
package main

func main() {}
