"""The apps that come with the platform; each is found through the same door as anyone else's."""
