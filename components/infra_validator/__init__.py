"""InfraValidator: does the exported model do its work in a process that knows nothing but TensorFlow?"""
