return { server }
