"""The plugins that come with FlexCore. Each is a package like any other, with its manifest beside its code."""
