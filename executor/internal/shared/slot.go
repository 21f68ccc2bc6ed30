package shared

// NoSlot is the slot of a call that has none: it counts as begun from the moment it is sent.
const NoSlot = 255
