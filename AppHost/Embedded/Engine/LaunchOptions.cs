namespace Aspire.Hosting.Embedded;

/// <summary>A mistake on the command line; the message says what and what would do.</summary>
internal sealed class LaunchOptionsException(string message) : DistributedApplicationException(message);

/// <summary>What the command line asks for. Everything that is not an option of ours must be a setting of a known section.</summary>
internal sealed record LaunchOptions
{
    private static readonly string[] Sections =
        ["Aliases", "Api", "Batches", "Caching", "ConnectionStrings", "Encryption", "Evaluations", "FeatureRoutes", "Files", "Idempotency", "Jobs", "Ledger", "Limits", "Logging", "Notifications",
         "Parameters", "Ports", "Postgres", "Providers", "Replicas", "Routing", "Schedules", "Startup", "Workers"];

    public const string Usage = """
        Starts AiAspire: PostgreSQL, Garnet, the model simulators, the API, the workers and the evaluator.

        dotnet run --project AppHost                       start; Ctrl-C stops everything
        dotnet run --project AppHost -- [options] [settings]
        dotnet run --project AppHost -- doctor             check this machine, say what is missing
        dotnet run --project AppHost -- token --tenant T --user U [--role R]... [--expires 1h]
                                                           print a signed development token

        Options
          --data DIR             data folder (default: .aiaspire in the repository); another one is another system
          --port NAME=N          fixed port of a resource, e.g. --port api=8080; repeatable
          --reset                delete the data folder first: database, keys, logs
          --no-local-postgres    take the fetched PostgreSQL even when the machine has one
          --help                 this text

        Settings (also as environment variables with __ for :, as user secrets, or in AppHost/appsettings.json)
          --ConnectionStrings:aiaspire=…   use this PostgreSQL instead of starting one; likewise :keystore and :redis
          --Providers:…=… --Aliases:…=… --FeatureRoutes:…=… --Routing:…=…
                                           handed on to the processes: add a provider without code
          --Parameters:openai-api-key=…    or OPENAI_API_KEY, likewise ANTHROPIC_API_KEY: use the real companies
          --Postgres:Binaries=DIR          where postgres and initdb are; --Postgres:Fsync=off for throw-away data
          --Startup:TimeoutSeconds=60      how long a process may take to become healthy (the migrator: 5 times)
        """;

    public string? Data { get; private init; }

    public bool Reset { get; private init; }

    public bool Help { get; private init; }

    public IReadOnlyDictionary<string, string?> Settings { get; private init; } = new Dictionary<string, string?>();

    /// <exception cref="LaunchOptionsException">An argument is unknown, or its value is missing or wrong.</exception>
    public static LaunchOptions Parse(IReadOnlyList<string> args)
    {
        var options = new LaunchOptions();
        var settings = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < args.Count; i++)
        {
            var (name, value) = Split(args[i]);
            switch (name)
            {
                case "--help" or "-h" or "-?":
                    options = options with { Help = true };
                    break;
                case "--reset":
                    options = options with { Reset = true };
                    break;
                case "--no-local-postgres":
                    settings["Postgres:Local"] = "false";
                    break;
                case "--data":
                    options = options with { Data = Value() };
                    settings["data"] = options.Data;
                    break;
                case "--port":
                    var (resource, port) = ParsePort(Value());
                    settings[$"Ports:{resource}"] = port.ToString();
                    break;
                case var setting when setting.StartsWith("--", StringComparison.Ordinal) && setting.Contains(':'):
                    var key = setting[2..];
                    if (!Sections.Contains(key[..key.IndexOf(':')], StringComparer.OrdinalIgnoreCase))
                        throw new LaunchOptionsException($"'{setting}' is not a setting of any known section ({string.Join(", ", Sections)}). Try --help.");
                    settings[key] = Value();
                    break;
                default:
                    throw new LaunchOptionsException($"'{args[i]}' is not understood. Try --help.");
            }

            string Value() => value ?? (++i < args.Count ? args[i] : throw new LaunchOptionsException($"'{name}' wants a value. Try --help."));
        }

        return options with { Settings = settings };
    }

    internal static (string Resource, int Port) ParsePort(string text)
    {
        var at = text.IndexOf('=');
        return at > 0 && int.TryParse(text[(at + 1)..], out var port) && port is > 0 and <= 65535
            ? (text[..at], port)
            : throw new LaunchOptionsException($"'{text}' is not a port: write NAME=NUMBER, e.g. --port api=8080.");
    }

    private static (string Name, string? Value) Split(string argument)
    {
        var at = argument.IndexOf('=');
        return at > 0 && argument.StartsWith("--", StringComparison.Ordinal) ? (argument[..at], argument[(at + 1)..]) : (argument, null);
    }
}
