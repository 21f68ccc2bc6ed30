package main

// idle is the memory of subscribed connections that do nothing.
func idle(c *contestant, s *child, o *options, profile string) (r result, err error) {
	none, err := s.ask("gc")
	if err != nil {
		return r, err
	}
	g := newGroup(o.idle)
	defer g.close()
	if err := g.open(o.idle, func() (*client, error) { return c.openFeed(s.addr) }); err != nil {
		return r, err
	}
	many, err := s.ask("gc")
	if err != nil {
		return r, err
	}
	if profile != "" {
		if _, err := s.ask("heap " + profile); err != nil {
			return r, err
		}
	}
	return result{rate: float64(many.rss-none.rss) / float64(o.idle)}, nil
}
