using System.Net;
using System.Net.Sockets;
using System.Text;

namespace AiAspire.Unit.CoreTests.Notifications;

/// <summary>As much of an SMTP server (RFC 5321) as a client needs, on loopback and without TLS.</summary>
internal sealed class SmtpStub : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly string _answerToRecipient;
    private readonly Task _serving;

    /// <param name="answerToRecipient">What <c>RCPT TO</c> is answered with.</param>
    public SmtpStub(string answerToRecipient = "250 OK")
    {
        _answerToRecipient = answerToRecipient;
        _listener.Start();
        _serving = ServeAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public List<string> Commands { get; } = [];

    public List<string> Messages { get; } = [];

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _listener.Stop();
        await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stopping.Dispose();
        _listener.Dispose();
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            using var client = await _listener.AcceptTcpClientAsync(_stopping.Token);
            try
            {
                await ConverseAsync(client.GetStream());
            }
            catch (IOException)
            {
                // The client hung up.
            }
        }
    }

    private async Task ConverseAsync(NetworkStream stream)
    {
        using var reader = new StreamReader(stream, Encoding.ASCII);
        await SayAsync("220 stub");
        while (await reader.ReadLineAsync(_stopping.Token) is { } line)
        {
            Commands.Add(line);
            switch (line.Split(' ')[0].ToUpperInvariant())
            {
                case "EHLO":
                    await SayAsync("250-stub\r\n250 8BITMIME");
                    break;
                case "RCPT":
                    await SayAsync(_answerToRecipient);
                    break;
                case "DATA":
                    await SayAsync("354 go on");
                    var message = new StringBuilder();
                    while (await reader.ReadLineAsync(_stopping.Token) is { } text && text != ".")
                        message.Append(text).Append('\n');
                    Messages.Add(message.ToString());
                    await SayAsync("250 accepted");
                    break;
                case "QUIT":
                    await SayAsync("221 bye");
                    return;
                default:
                    await SayAsync("250 OK");
                    break;
            }
        }

        async Task SayAsync(string text) => await stream.WriteAsync(Encoding.ASCII.GetBytes(text + "\r\n"), _stopping.Token);
    }
}
