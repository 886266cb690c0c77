namespace AiAspire.Migrator;

/// <summary>Section <c>Database</c>: the passwords of the login roles. A role without one keeps what it has.</summary>
public sealed class DatabaseOptions
{
    /// <summary>False where roles and databases are made by others (a managed server): then only schema and policies are applied.</summary>
    public bool Bootstrap { get; init; } = true;

    /// <summary>True permits connections without TLS to hosts beyond loopback; read by the connection set-up.</summary>
    public bool AllowPlaintext { get; init; }

    public Dictionary<string, string> Passwords { get; init; } = new(StringComparer.OrdinalIgnoreCase);
}

/// <summary>Section <c>Seed</c>: data for development.</summary>
public sealed class SeedOptions
{
    public bool Enabled { get; init; }

    /// <summary>The API key of the development user; the AppHost keeps it over restarts.</summary>
    public string? DevelopmentKey { get; init; }
}
