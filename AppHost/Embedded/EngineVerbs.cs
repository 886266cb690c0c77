using Aspire.Hosting.Embedded;
using Aspire.Hosting.Testing;

namespace AiAspire.AppHost;

internal static partial class Verbs
{
    private const int WrongUse = 2;

    static partial void AskEngine(string[] args, EngineVerb asked) => asked.Run = args switch
    {
        [GarnetVerb.Name] => GarnetAsync,
        ["doctor", ..] => () => Doctor.RunAsync(args[1..], Console.Out),
        _ => Check(args),
    };

    private static async Task<int> GarnetAsync()
    {
        await GarnetVerb.RunAsync();
        return 0;
    }

    /// <summary>Null when the arguments are those of an ordinary run that can begin.</summary>
    private static Func<Task<int>>? Check(string[] args)
    {
        if (EntryPointRun.Current is not null)
            return null; // a test gets the exception instead

        try
        {
            return LaunchOptions.Parse(args).Help ? () => SayAsync(Console.Out, LaunchOptions.Usage, exitCode: 0) : null;
        }
        catch (LaunchOptionsException e)
        {
            return () => SayAsync(Console.Error, e.Message, WrongUse);
        }
    }

    private static async Task<int> SayAsync(TextWriter output, string text, int exitCode)
    {
        await output.WriteLineAsync(text);
        return exitCode;
    }
}
