package asgiotel_test

func isService() bool { return false }

func serve() {}
