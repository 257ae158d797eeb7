"""How big and how fast a design is: synthesis, estimated timing and placement with open tools."""
