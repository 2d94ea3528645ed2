"""json-processor: looks into JSON documents and changes them."""
